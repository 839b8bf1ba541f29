"""From a bundle to a device: an image on a card, a seed on a boot partition, or over ssh."""

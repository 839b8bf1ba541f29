"""From a bundle to a device: an image on a card, files on a boot partition, or over ssh."""

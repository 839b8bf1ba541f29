"""The workstation side of edge-reid: from folders of person crops to an int8 TFLite embedder."""

"""Who is enrolled, and whether a track shows one of them."""

"""Games that the network plays through its retina (Section 4.2)."""

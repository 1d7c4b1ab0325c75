"""Images: reading, drawing, placing and handing them out."""

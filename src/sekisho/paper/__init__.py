"""What is printed: PDFs set by typst with Noto Sans JP, from data alone."""

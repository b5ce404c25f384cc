"""What is printed: PDFs set by typst with Noto Sans JP, from data alone; and PDFs of scans, read by a child."""

"""What joins do with the rows of one key: plain functions of state, row and watermark, with no broker and no clock."""

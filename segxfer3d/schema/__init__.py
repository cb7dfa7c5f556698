"""What files of values may hold; floor 1, so that every room can say it."""

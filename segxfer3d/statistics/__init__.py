"""Statistics of a transfer study: numbers in, numbers out; opens no file and needs neither torch nor MONAI."""

"""What serves developers and offline examples alone; not part of the wheel."""

"""Speech encoders: audio or features -> frame states."""

"""What each way of storing tokens costs in bytes, and in what is found."""

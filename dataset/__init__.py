"""Dataset: every attempt in SQL, and the exports made from them."""

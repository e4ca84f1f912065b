"""Sandbox: builds candidates and runs untrusted code (candidates and references) in processes of its own."""

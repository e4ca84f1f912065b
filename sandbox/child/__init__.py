"""The untrusted side: what runs inside a sandboxed process. Nothing here decides anything."""

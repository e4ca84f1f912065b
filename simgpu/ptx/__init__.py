"""PTX as text and as typed records: tokens, syntax, parser."""

"""Translating rows: translators behind one protocol, what is kept, and gates."""

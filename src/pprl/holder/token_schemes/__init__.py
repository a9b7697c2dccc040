"""Tokens of other schemes, bit for bit, so that who has them today can link with them."""

from pprl.holder.token_schemes.make import SCHEMES, make_tokens

__all__ = ["SCHEMES", "make_tokens"]

"""Audits and simulations of votes, voters and boards; numpy and scipy, no torch."""

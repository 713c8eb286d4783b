"""The referral walk: invented residents, what their check-ups found, and who is at risk."""

"""The moderation service: a live chat whose messages are judged, the moderators' desk, and the models as an API."""

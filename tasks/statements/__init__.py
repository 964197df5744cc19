"""What a study has published so far: reading it back, and what has changed since.

    read     statements as they lie in the store
    people   who joined, left, changed their images or their name since one

Plain functions: nothing here trains, estimates or publishes, and nothing here knows Prefect.
"""

"""The steps between versions of the store, in `versions/`, each up and down."""

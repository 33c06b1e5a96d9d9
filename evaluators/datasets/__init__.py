"""Data sets; a user's own is a function named `package.module:function`."""

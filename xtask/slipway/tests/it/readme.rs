//! README.md

//! The clock, the three scopes and their bounded memory.

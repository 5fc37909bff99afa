//! The wire format of an invalidation.

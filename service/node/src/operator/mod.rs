//! The operator port: health, metrics, cluster membership.

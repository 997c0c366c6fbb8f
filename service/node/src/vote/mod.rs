//! The vote service: ingest, machine, feed and routes.

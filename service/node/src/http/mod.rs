//! HTTP: serving connections, problems, authentication, traces.

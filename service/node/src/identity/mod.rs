//! The identity service: accounts, login, registration.

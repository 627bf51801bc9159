//! nginx with `auth_request`.

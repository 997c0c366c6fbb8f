//! Which route a path is, for metrics: known before routing, without an allocation, and bounded whatever clients ask.

/// The routes, each one label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Login,
    Register,
    EventCreate,
    EventOpen,
    EventClose,
    EventStream,
    Leaderboard,
    Contestants,
    VoteSubmit,
    VoteStatus,
    OpenApi,
    Other,
}

impl Route {
    pub(super) const COUNT: usize = Self::Other as usize + 1;

    pub(super) fn of(path: &str) -> Self {
        match path {
            "/v1/vote/submit" => return Self::VoteSubmit,
            "/v1/auth/login" => return Self::Login,
            "/v1/auth/register" => return Self::Register,
            "/v1/event/create" => return Self::EventCreate,
            "/openapi.json" => return Self::OpenApi,
            _ => {}
        }
        let Some(path) = path.strip_prefix("/v1/") else {
            return Self::Other;
        };
        let mut parts = path.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("vote"), Some(_), Some("status"), None) => Self::VoteStatus,
            (Some("contestants"), Some(_), None, None) => Self::Contestants,
            (Some("event"), Some(_), Some("leaderboard"), None) => Self::Leaderboard,
            (Some("event"), Some(_), Some("stream"), None) => Self::EventStream,
            (Some("event"), Some(_), Some("open"), None) => Self::EventOpen,
            (Some("event"), Some(_), Some("close"), None) => Self::EventClose,
            _ => Self::Other,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Login => "/v1/auth/login",
            Self::Register => "/v1/auth/register",
            Self::EventCreate => "/v1/event/create",
            Self::EventOpen => "/v1/event/{event_id}/open",
            Self::EventClose => "/v1/event/{event_id}/close",
            Self::EventStream => "/v1/event/{event_id}/stream",
            Self::Leaderboard => "/v1/event/{event_id}/leaderboard",
            Self::Contestants => "/v1/contestants/{event_id}",
            Self::VoteSubmit => "/v1/vote/submit",
            Self::VoteStatus => "/v1/vote/{vote_id}/status",
            Self::OpenApi => "/openapi.json",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_the_path_of_its_route() {
        let routes = [
            Route::Login,
            Route::Register,
            Route::EventCreate,
            Route::EventOpen,
            Route::EventClose,
            Route::EventStream,
            Route::Leaderboard,
            Route::Contestants,
            Route::VoteSubmit,
            Route::VoteStatus,
            Route::OpenApi,
        ];
        assert_eq!(routes.len() + 1, Route::COUNT);
        for route in routes {
            let path = route
                .label()
                .replace("{event_id}", "e1")
                .replace("{vote_id}", "AQ");
            assert_eq!(Route::of(&path), route, "{path}");
        }
        for other in ["/", "/v1/vote//x", "/v1/event/e1/stream/x", "/v2/vote/submit", ""] {
            assert_eq!(Route::of(other), Route::Other, "{other}");
        }
    }
}

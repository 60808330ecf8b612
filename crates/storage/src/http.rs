//! The HTTP client of the object stores, lent to Amazon's own clients: one stack of HTTP and TLS serves both.

use std::sync::Once;

/// Names the cryptography that TLS uses, unless the program has named one; before any client is made.
pub(crate) fn set_up_tls() {
    static SET_UP: Once = Once::new();
    SET_UP.call_once(|| {
        // An error means that the program has made its own choice.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(feature = "aws")]
pub(crate) use lent::client;

#[cfg(feature = "aws")]
mod lent {
    use std::time::Duration;

    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;

    /// How long a connection may take to be made: Amazon's own default.
    const CONNECT_MAX: Duration = Duration::from_millis(3100);

    /// Returns a client for Amazon's services.
    ///
    /// # Errors
    /// If the machine's certificates can't be read.
    pub(crate) fn client() -> Result<SharedHttpClient, reqwest::Error> {
        super::set_up_tls();
        // A signature covers the address: a redirect would make it wrong.
        let builder =
            reqwest::Client::builder().connect_timeout(CONNECT_MAX).redirect(reqwest::redirect::Policy::none());
        Ok(SharedHttpClient::new(Lent(builder.build()?)))
    }

    #[derive(Debug, Clone)]
    struct Lent(reqwest::Client);

    impl HttpClient for Lent {
        fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            let connect = settings.connect_timeout().unwrap_or(CONNECT_MAX);
            // The roles of a machine are asked for with short limits: on other machines nobody answers.
            let answer_within = settings.read_timeout().map(|read| connect + read);
            SharedHttpConnector::new(Connector { client: self.0.clone(), answer_within })
        }
    }

    #[derive(Debug)]
    struct Connector {
        client: reqwest::Client,
        answer_within: Option<Duration>,
    }

    impl HttpConnector for Connector {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let (client, answer_within) = (self.client.clone(), self.answer_within);
            HttpConnectorFuture::new(async move {
                let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
                let request = request.map(reqwest::Body::wrap).try_into();
                let sent = client.execute(request.map_err(|error: reqwest::Error| ConnectorError::user(error.into()))?);
                let answer = match answer_within {
                    Some(limit) => tokio::time::timeout(limit, sent)
                        .await
                        .map_err(|error| ConnectorError::timeout(error.into()))?,
                    None => sent.await,
                };
                let answer = http::Response::from(answer.map_err(failed)?).map(SdkBody::from_body_1_x);
                HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
            })
        }
    }

    fn failed(error: reqwest::Error) -> ConnectorError {
        // An address may hold what is secret.
        let error = error.without_url();
        if error.is_timeout() {
            ConnectorError::timeout(error.into())
        } else if error.is_builder() {
            ConnectorError::user(error.into())
        } else {
            ConnectorError::io(error.into())
        }
    }
}

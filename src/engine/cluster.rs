//! The cluster: the session of a run on Apache DataFusion Ballista, whose scheduler and executors are this program as well.
//!
//! A plan travels as names and literals: every role finds the same functions and the aggregate by name, and what they depend on is
//! an argument. So no codec is needed, and all roles must be of one version. Each says its version with every request, and the
//! scheduler refuses any other.
//!
//! What a plan reads are files at paths that all roles see. Credentials are not part of a plan and none are sent: what a machine
//! may read is what its own environment lets it read.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::error::BallistaError;
use ballista_core::extension::{EndpointOverrideFn, SessionConfigExt, SessionStateExt};
use ballista_core::flight_proxy_service::BallistaFlightProxyService;
use ballista_core::optimizer::ballista_default_optimizer_rules;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::GetJobStatusParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::{GrpcClientConfig, create_grpc_client_endpoint};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::health::ExecutorHealth;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use super::functions::{Key, Models, Noise, Output, Progress, Score, Uniform};
use super::udaf;
use crate::score::Bound;
use crate::score::definition::Definition;
use crate::target::Side;

/// The version that all roles must share.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The most bytes of a message. Ballista's own limit of 16 MiB is less than the state of an exact summary may take.
const MESSAGE: u32 = 1 << 30;

/// Seconds between two signs of life of an executor.
const HEARTBEAT: u64 = 2;

/// Seconds without a sign of life after which an executor is lost and its work is done again elsewhere.
const LOST: u64 = 15;

/// Seconds that an executor waits for its scheduler to start.
const PATIENCE: u16 = 60;

/// Models that an executor keeps open, since it outlives many runs.
const OPEN_MODELS: usize = 8;

/// Where a scheduler listens, written `df://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.strip_prefix("df://").and_then(|rest| rest.rsplit_once(':'));
        let (host, port) = parts.with_context(|| format!("`{text}` is no scheduler: write `df://host:50050`"))?;
        let port = port.parse().with_context(|| format!("`{port}` in `{text}` is no port"))?;
        let known = |sign: char| sign.is_ascii_alphanumeric() || "-._[]:".contains(sign);
        ensure!(!host.is_empty() && host.chars().all(known), "`{host}` in `{text}` is no name or address of a machine");
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

impl Address {
    fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

/// Who asks a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A run, which needs executors.
    Run,
    /// An executor.
    Executor,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Executor => "executor",
        }
    }
}

/// A session whose plans a cluster computes.
pub(super) async fn connect(scheduler: &Address, config: SessionConfig) -> Result<SessionContext> {
    agree(scheduler, Role::Run, VERSION).await?;
    let config = config
        .upgrade_for_ballista()
        .with_ballista_grpc_client_max_message_size(MESSAGE as usize)
        .with_ballista_override_create_grpc_client_endpoint(always(scheduler, Role::Run))
        // Statistics that a scheduler keeps may be those of a file that was rewritten since, at the same size and time.
        .set_bool("ballista.scheduler.share_file_statistics_cache", false);
    let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
    Ok(SessionContext::new_with_state(state.upgrade_for_ballista(scheduler.url())?))
}

/// Asks a scheduler whether it works with this role in this version.
///
/// # Errors
/// When no scheduler listens, when it is of another version, and when a run would find no executor.
pub async fn agree(scheduler: &Address, role: Role, version: &str) -> Result<()> {
    let endpoint = endpoint(scheduler, role, version)?;
    let channel = endpoint.connect().await.with_context(|| {
        format!("no scheduler answers at `{scheduler}`: start one with `modelgate cluster scheduler`")
    })?;
    match SchedulerGrpcClient::new(channel).get_job_status(GetJobStatusParams::default()).await {
        Err(refusal) if matches!(refusal.code(), Code::FailedPrecondition | Code::Unavailable) => {
            bail!("{}", refusal.message())
        }
        // What else it says of a job that nobody began is of no interest: it listens.
        _ => Ok(()),
    }
}

/// The way to a scheduler. Role and version are on every request, as the agent of the user.
fn endpoint(scheduler: &Address, role: Role, version: &str) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = create_grpc_client_endpoint(scheduler.url(), Some(&GrpcClientConfig::default()))?;
    endpoint.user_agent(format!("modelgate/{version} ({})", role.name()))
}

/// Goes to the scheduler wherever Ballista wants to go, which is to the name that a scheduler has for itself: one more that
/// could be wrong.
fn always(scheduler: &Address, role: Role) -> EndpointOverrideFn {
    let scheduler = scheduler.clone();
    Arc::new(move |_| Ok(endpoint(&scheduler, role, VERSION)?))
}

/// Lets a request in if it comes from a role of this version, and from a run only when an executor is there.
fn admit(request: Request<()>, has_executor: impl Fn() -> bool) -> Result<Request<()>, Status> {
    let agent = request.metadata().get("user-agent").and_then(|agent| agent.to_str().ok());
    let parts = agent.and_then(|agent| agent.strip_prefix("modelgate/")?.split_once(" ("));
    let Some((version, role)) = parts else {
        return Err(Status::failed_precondition(format!(
            "the scheduler is modelgate {VERSION}, and who asks it is no modelgate"
        )));
    };
    let role = if role.starts_with(Role::Run.name()) { Role::Run } else { Role::Executor };
    if version != VERSION {
        return Err(Status::failed_precondition(format!(
            "the scheduler is modelgate {VERSION}, and the {} is modelgate {version}: scheduler, executors and runs must be \
             of one version",
            role.name()
        )));
    }
    if role == Role::Run && !has_executor() {
        return Err(Status::unavailable("the cluster has no executor: start one with `modelgate cluster executor`"));
    }
    Ok(request)
}

/// Schedules the runs that ask for it, until the process ends.
///
/// # Errors
/// When it can no longer listen.
pub async fn schedule(listener: TcpListener) -> Result<()> {
    let config = Arc::new(SchedulerConfig {
        bind_port: listener.local_addr()?.port(),
        override_session_builder: Some(Arc::new(state)),
        // A run needs to reach the scheduler only.
        enable_embedded_flight_proxy: true,
        executor_timeout_seconds: LOST,
        expire_dead_executor_interval_seconds: HEARTBEAT,
        no_executors_grace_period_seconds: LOST,
        grpc_server_max_decoding_message_size: MESSAGE,
        grpc_server_max_encoding_message_size: MESSAGE,
        grpc_client_max_message_size: MESSAGE,
        ..SchedulerConfig::default()
    });
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(|error| plain(&error))?;
    let scheduler = create_scheduler(cluster, config).await.map_err(|error| plain(&error))?;
    let routes = routes(scheduler).into_axum_router();
    Ok(axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

/// What a scheduler answers: Ballista's requests, and those for results, which it hands on to the executors.
fn routes(scheduler: SchedulerServer<LogicalPlanNode, PhysicalPlanNode>) -> Routes {
    let server = scheduler.clone();
    let admitted = move |request| admit(request, || scheduler.is_ready());
    let size = MESSAGE as usize;
    let jobs = SchedulerGrpcServer::new(server).max_encoding_message_size(size).max_decoding_message_size(size);
    let results = FlightServiceServer::new(BallistaFlightProxyService::new(size, size, false, None))
        .max_encoding_message_size(size)
        .max_decoding_message_size(size);
    Routes::new(InterceptedService::new(jobs, admitted.clone())).add_service(InterceptedService::new(results, admitted))
}

/// What an executor is told.
#[derive(Debug)]
pub struct Executor {
    /// Its scheduler.
    pub scheduler: Address,
    /// Where it listens; it needs the next port as well.
    pub listen: SocketAddr,
    /// The name under which scheduler and executors reach it; without one, the address that the scheduler sees.
    pub host: Option<String>,
    /// The number of tasks that it works on at once.
    pub threads: usize,
}

/// Executes what the scheduler hands out, until the process is told to end; then what was begun is finished. Says when it
/// has joined the cluster.
///
/// # Errors
/// When the scheduler does not answer or refuses, or when a port is taken.
pub async fn execute(executor: &Executor, joined: impl FnOnce()) -> Result<()> {
    let Executor { scheduler, listen, host, threads } = executor;
    let folder = tempfile::tempdir().context("there is no room for what executors exchange")?;
    let functions = state(SessionConfig::new_with_ballista())?;
    let health = ExecutorHealth::new();
    let config = ExecutorProcessConfig {
        bind_host: match listen.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        },
        external_host: host.clone(),
        port: listen.port(),
        grpc_port: listen.port().checked_add(1).context("an executor needs two ports, and this is the last one")?,
        scheduler_host: scheduler.host.clone(),
        scheduler_port: scheduler.port,
        scheduler_connect_timeout_seconds: PATIENCE,
        vcores: *threads,
        work_dir: Some(folder.path().to_str().context("the folder of temporary files is no path in UTF-8")?.to_owned()),
        grpc_max_decoding_message_size: MESSAGE,
        grpc_max_encoding_message_size: MESSAGE,
        executor_heartbeat_interval_seconds: HEARTBEAT,
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&functions))),
        override_create_grpc_client_endpoint: Some(always(scheduler, Role::Executor)),
        health: health.clone(),
        ..ExecutorProcessConfig::default()
    };
    let said = async {
        while !health.is_ready() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        joined();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = start_executor_process(Arc::new(config)) => done.map_err(|error| plain(&error)),
        () = said => Ok(()),
    }
}

/// What Ballista complains of; a refusal in the words of the scheduler.
fn plain(error: &BallistaError) -> anyhow::Error {
    match error {
        BallistaError::GrpcError(status) => anyhow!("{}", status.message()),
        error => anyhow!("{error}"),
    }
}

/// The state of a session in which the plan of any run can be read.
fn state(config: SessionConfig) -> datafusion::error::Result<SessionState> {
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .build();
    for function in functions() {
        state.register_udf(Arc::new(function))?;
    }
    state.register_udaf(Arc::new(udaf::aggregate()))?;
    Ok(state)
}

/// The functions that a run may call. A calibration calls one more, and no cluster computes it.
fn functions() -> Vec<ScalarUDF> {
    let models: Arc<dyn Models> = Arc::new(Named::default());
    let score = |side| Score::function(side, Arc::clone(&models), Arc::new(Progress::default()));
    let [baseline, candidate] = [Side::Baseline, Side::Candidate].map(score);
    vec![baseline, candidate, Output::function(), Noise::function(), Uniform::function(), Key::function()]
}

/// Models that plans define, the last ones used kept open.
#[derive(Debug, Default)]
struct Named {
    open: Mutex<VecDeque<(String, Arc<dyn Bound>)>>,
}

impl Models for Named {
    fn find(&self, definition: &str) -> Result<Arc<dyn Bound>> {
        // Held while a model is opened, so that tasks that begin at once do not each open it.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, binding)) = open.iter().find(|(known, _)| known == definition) {
            return Ok(Arc::clone(binding));
        }
        let binding: Arc<dyn Bound> = Arc::new(Definition::parse(definition)?.open()?);
        open.push_front((definition.to_owned(), Arc::clone(&binding)));
        open.truncate(OPEN_MODELS);
        Ok(binding)
    }
}

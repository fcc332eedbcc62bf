//! The tables of deprecated names.

use super::attribute;
use super::definition::{DeprecatedName, deprecated};

/// Deprecated names of attributes.
pub const DEPRECATED: &[DeprecatedName] = &[
    deprecated("db.system", attribute::DB_SYSTEM_NAME),
    deprecated("db.operation", attribute::DB_OPERATION_NAME),
    deprecated("db.name", attribute::DB_NAMESPACE),
    deprecated("db.statement", attribute::DB_QUERY_TEXT),
    deprecated("db.sql.table", attribute::DB_COLLECTION_NAME),
    deprecated("db.cassandra.table", attribute::DB_COLLECTION_NAME),
    deprecated("db.mongodb.collection", attribute::DB_COLLECTION_NAME),
    deprecated("db.cosmosdb.container", attribute::DB_COLLECTION_NAME),
    deprecated("db.redis.database_index", attribute::DB_NAMESPACE),
    deprecated(
        "db.cosmosdb.status_code",
        attribute::DB_RESPONSE_STATUS_CODE,
    ),
    deprecated("db.mssql.instance_name", attribute::DB_NAMESPACE),
    deprecated("db.user", ""),
    deprecated("db.connection_string", attribute::SERVER_ADDRESS),
    deprecated("db.instance.id", ""),
    deprecated("db.jdbc.driver_classname", ""),
    deprecated("db.operation.parameter", attribute::DB_QUERY_PARAMETER),
    deprecated(
        "db.client.connections.pool.name",
        "db.client.connection.pool.name",
    ),
    deprecated("db.client.connections.state", "db.client.connection.state"),
    deprecated("error.message", attribute::ERROR_TYPE),
    deprecated("exception.escaped", ""),
    deprecated("code.namespace", "code.function.name"),
    deprecated("code.function", "code.function.name"),
    deprecated("code.filepath", "code.file.path"),
    deprecated("code.lineno", "code.line.number"),
    deprecated("code.column", "code.column.number"),
    deprecated("net.peer.name", attribute::SERVER_ADDRESS),
    deprecated("net.peer.port", attribute::SERVER_PORT),
    deprecated("net.sock.peer.addr", "network.peer.address"),
    deprecated("net.sock.peer.port", "network.peer.port"),
    deprecated("otel.status_message", attribute::OTEL_STATUS_DESCRIPTION),
];

/// Deprecated names of metrics.
pub const DEPRECATED_METRICS: &[DeprecatedName] = &[
    deprecated("db.client.connections.usage", "db.client.connection.count"),
    deprecated(
        "db.client.connections.idle.max",
        "db.client.connection.idle.max",
    ),
    deprecated(
        "db.client.connections.idle.min",
        "db.client.connection.idle.min",
    ),
    deprecated("db.client.connections.max", "db.client.connection.max"),
    deprecated(
        "db.client.connections.pending_requests",
        "db.client.connection.pending_requests",
    ),
    deprecated(
        "db.client.connections.timeouts",
        "db.client.connection.timeouts",
    ),
    deprecated(
        "db.client.connections.create_time",
        "db.client.connection.create_time",
    ),
    deprecated(
        "db.client.connections.wait_time",
        "db.client.connection.wait_time",
    ),
    deprecated(
        "db.client.connections.use_time",
        "db.client.connection.use_time",
    ),
];

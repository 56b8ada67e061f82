"""Every setting of the service. The only module that reads the environment.

Each field is the environment variable `REMEMBR_<NAME>`; its description is the text of
`docs/configuration.md`. Durations and sizes carry their unit in the name.
"""

from __future__ import annotations

import json
import os
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

KEY_MIN_CHARS = 32
"""Of keys that sign and encrypt."""
VectorIndex = Literal["bbq_flat", "bbq_hnsw", "int8_hnsw"]


def _home(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / "remembr"


class Settings(BaseSettings):
    """Frozen settings, read once from the environment at start-up.

    Raises pydantic.ValidationError when a variable can't be used; secrets never show in `repr`.
    """

    model_config = SettingsConfigDict(env_prefix="REMEMBR_", frozen=True, extra="ignore")

    # -- where it listens and keeps things
    host: str = Field("127.0.0.1", description="Address the server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the REST API; 0 takes a free one.")
    workers: int = Field(
        1, ge=1, le=64, description="Server processes of `remembr-server serve` and `dev`, on one port."
    )
    data_dir: Path = Field(
        default_factory=lambda: _home("XDG_DATA_HOME", ".local/share"),
        description="Folder of the embedded engines' data and of generated secrets.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: _home("XDG_CACHE_HOME", ".cache"),
        description="Folder of unpacked engines and models, shared by all checkouts.",
    )
    environment: Literal["development", "production"] = Field(
        "development", description="`production` refuses to start with generated secrets."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level that is logged; logs are JSON lines on standard error."
    )

    console: bool = Field(True, description="Serve the web console at `/console`.")
    access_log: bool = Field(False, description="Log every request at INFO, not only those that fail.")
    drain_s: float = Field(
        0.0,
        ge=0,
        le=300,
        description="Seconds that a server told to stop goes on serving while `/health/ready` says 503, for balancers.",
    )

    metrics_token: SecretStr | None = Field(
        None, description="Token that `/metrics` asks for. Empty: only callers on the same machine may read it."
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port on which a worker serves its metrics, on `REMEMBR_HOST`; 0: none."
    )

    # -- Elasticsearch
    elasticsearch_url: str | None = Field(
        None,
        description="Address of Elasticsearch; several hosts separated by commas. Empty: the embedded one.",
    )
    elasticsearch_api_key: SecretStr | None = Field(None, description="API key for Elasticsearch.")
    elasticsearch_username: str | None = Field(None, description="User for Elasticsearch, with its password.")
    elasticsearch_password: SecretStr | None = Field(None, description="Password of that user.")
    elasticsearch_ca_certs: Path | None = Field(None, description="CA file that signed Elasticsearch's certificate.")
    elasticsearch_timeout_s: float = Field(
        10.0, gt=0, description="Seconds that one request to Elasticsearch may take."
    )
    elasticsearch_home: Path | None = Field(
        None, description="An unpacked Elasticsearch for the embedded engine to start."
    )
    elasticsearch_heap: str = Field(
        "1g", pattern=r"^\d+[mg]$", description="Java heap of the embedded Elasticsearch, as in `-Xmx`."
    )
    elasticsearch_java_options: str = Field(
        "", description="More Java options of the embedded Elasticsearch, separated by spaces."
    )
    elasticsearch_nodes: int = Field(
        1,
        ge=1,
        le=5,
        description="Nodes of the embedded Elasticsearch, each with such a heap; of three, one may end.",
    )
    elasticsearch_start_timeout_s: float = Field(
        180.0, gt=0, description="Seconds that the embedded Elasticsearch may take to answer."
    )

    group_commit: bool = Field(
        True,
        description="Concurrent writes share one request to Elasticsearch; false, to measure what that gains.",
    )

    backup_repository: str = Field(
        "", description="Name of the snapshot repository that backups go to. Empty: `<index prefix>-backups`."
    )
    backup_type: str = Field(
        "fs", description="Type of that repository where it has to be registered: `fs`, `s3`, `gcs`, `azure`, `url`."
    )
    backup_settings: str = Field(
        '{"location": "remembr"}',
        description="Its settings as JSON. A relative location lies below Elasticsearch's `path.repo`.",
    )

    # -- Redis
    redis_url: str | None = Field(None, description="Address of Redis or Valkey. Empty: the embedded one.")
    redis_timeout_s: float = Field(
        0.5,
        gt=0,
        description="Seconds that one Redis command of a request may take; it then goes on without.",
    )

    # -- indices
    index_prefix: str = Field(
        "remembr",
        pattern=r"^[a-z][a-z0-9-]{0,40}$",
        description="First part of every index, alias and template name.",
    )
    index_shards: int = Field(1, ge=1, le=1024, description="Primary shards of a newly made episodes index.")
    index_partitions: int = Field(
        1,
        ge=1,
        description=(
            "Shards that one organisation's episodes are spread over in a newly made index: 1, or fewer than there "
            "are. More only where single organisations hold millions (docs/scaling.md)."
        ),
    )
    index_replicas: int = Field(0, ge=0, le=5, description="Replicas of each shard; 1 where there are several nodes.")
    vector_index: VectorIndex = Field(
        "bbq_flat", description="`dense_vector` index type of a newly made episodes index."
    )

    # -- embedding
    embedding_model: str = Field(
        "e5-small-v2",
        description=(
            "`e5-small-v2` (from Maven), `all-minilm-l6-v2` (from PyPI), or any sentence-transformers name or folder."
        ),
    )
    embedding_batch: int = Field(64, ge=1, le=1024, description="Episodes that the worker embeds in one batch.")
    embedding_threads: int = Field(0, ge=0, description="Threads of one embedding; 0 lets the machine's cores decide.")
    embedding_max_attempts: int = Field(8, ge=1, description="Tries before an episode's embedding stays failed.")
    query_cache_size: int = Field(2_000, ge=0, description="Query embeddings that each server process remembers.")
    closeup_cache_size: int = Field(
        20_000, ge=0, description="Episodes of which each server process remembers the tokens, some 4 KB each."
    )

    # -- authentication
    jwt_secret: SecretStr | None = Field(
        None,
        description=(
            "Keys that sign tokens, separated by commas, the newest first, which signs; each at least 32 characters."
            " `make run` generates one in the data folder."
        ),
    )
    access_token_minutes: int = Field(30, ge=1, description="Life of an access token.")
    refresh_token_days: int = Field(7, ge=1, description="Life of a refresh token.")
    bcrypt_rounds: int = Field(12, ge=4, le=16, description="Work factor of password hashes.")
    api_key_cache_s: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Seconds a checked API key is trusted without looking again; bounds a revocation.",
    )

    usage_every_s: float = Field(
        60.0, ge=0, description="Seconds between writing down how often a server was asked for what; 0: never."
    )
    usage_kept_days: int = Field(90, ge=1, description="Days after which the purge removes these counts.")
    audit_kept_days: int = Field(365, ge=1, description="Days after which the purge removes an audit entry.")

    # -- memory
    content_max_chars: int = Field(100_000, ge=1, description="Longest content of one episode.")
    body_max_bytes: int = Field(1_048_576, ge=1024, description="Largest request body.")
    window_tokens: int = Field(4_000, ge=1, description="Token budget of a session's short-term window.")
    automatic_checkpoints_kept: int = Field(
        20, ge=0, description="Automatic checkpoints that a session keeps, the newest; 0 keeps all."
    )
    restore_days: int = Field(30, ge=1, description="Days in which a soft-deleted episode can be restored.")
    idempotency_strict: bool = Field(
        False,
        description=(
            "Refuse an idempotency key that comes with another body (409). By default that is a new write:"
            " published adapters use one key for different messages."
        ),
    )

    # -- webhooks
    encryption_keys: SecretStr | None = Field(
        None,
        description=(
            "Keys that webhook secrets are encrypted with, separated by commas, the newest first; each at least 32"
            " characters. In development one is generated in the data folder."
        ),
    )
    webhook_allowed_networks: str = Field(
        "",
        description=(
            "Networks beside the public ones that webhooks may reach, such as `127.0.0.0/8,10.1.0.0/16`;"
            " for development."
        ),
    )
    deliveries_kept_days: int = Field(30, ge=1, description="Days after which the purge removes a delivery.")
    webhook_max: int = Field(50, ge=1, le=1_000, description="Webhooks that an organisation may have.")
    webhook_retry_s: str = Field(
        "5,60,600,3600",
        pattern=r"^\d+(\.\d+)?(,\d+(\.\d+)?)*$",
        description="Seconds between the tries of a delivery, give or take a fifth; four pauses are five tries.",
    )
    webhook_timeout_s: float = Field(10.0, gt=0, le=20, description="Seconds that a webhook's receiver has to answer.")

    # -- export and import
    export_max_s: float = Field(3600.0, gt=0, description="Seconds that one export may take from its first byte.")
    import_max_bytes: int = Field(1_073_741_824, ge=1024, description="Largest body of one import.")
    import_max_s: float = Field(3600.0, gt=0, description="Seconds that the body of one import may take to come.")
    transfer_stall_s: float = Field(
        30.0,
        gt=0,
        description="Seconds that an export's reader may take over 64 KiB, and an import's sender may be silent.",
    )

    # -- search
    recency_half_life_days: float = Field(30.0, gt=0, description="Age at which the recency part of a score is 0.5.")
    exact_search_limit: int = Field(
        10_000, ge=0, description="Episodes in scope up to which every one is scored exactly."
    )
    search_window: int = Field(
        1_000, ge=100, le=10_000, description="Candidates that are rescored exactly where more are in scope."
    )

    # -- HTTP
    rate_limit_per_minute: int = Field(
        1_200,
        ge=0,
        description=(
            "Requests a minute by one API key, or by one user with tokens; as many at once, then a 60th of it a second."
            " 0: no limit."
        ),
    )
    sign_in_per_address: int = Field(
        60, ge=0, description="Registrations and log-ins a minute from one address. 0: no limit."
    )
    sign_in_per_email: int = Field(
        10, ge=0, description="Registrations and log-ins a minute with one e-mail address. 0: no limit."
    )
    trusted_proxies: str = Field(
        "",
        description=(
            "Networks of reverse proxies whose X-Forwarded-For tells the caller's address, separated by commas."
        ),
    )
    cors_origins: str = Field(
        "",
        description=(
            "Origins whose pages may call the API from a browser, such as `https://app.example.com`, separated by"
            " commas; `*` for all. Empty: none."
        ),
    )
    body_timeout_s: float = Field(
        30.0, gt=0, description="Seconds that a request's body may take to come; imports have their own."
    )
    max_connections: int = Field(
        5_000, ge=0, description="Connections of one server process; more are answered 503. 0: no limit."
    )
    close_sync_clients: bool = Field(
        True,
        description=(
            "Answer published synchronous clients with `Connection: close`; false behind a proxy that strips it."
        ),
    )

    @field_validator("trusted_proxies", "webhook_allowed_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        for text in _parts(value):
            ip_network(text, strict=False)
        return value

    @property
    def proxy_networks(self) -> list[str]:
        """`trusted_proxies`, one by one."""
        return _parts(self.trusted_proxies)

    @property
    def allowed_origins(self) -> list[str]:
        """`cors_origins`, one by one."""
        return [origin.rstrip("/") for origin in _parts(self.cors_origins)]

    @field_validator("backup_settings")
    @classmethod
    def _is_json(cls, value: str) -> str:
        if not isinstance(json.loads(value), dict):
            raise ValueError("must be a JSON object")
        return value

    @field_validator("index_partitions")
    @classmethod
    def _some_of_the_shards(cls, value: int, info: ValidationInfo) -> int:
        shards = info.data.get("index_shards", 1)
        if value > 1 and value >= shards:
            raise ValueError(f"must be 1 or less than the {shards} of REMEMBR_INDEX_SHARDS")
        return value

    @field_validator("encryption_keys", "jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        keys = value.get_secret_value().split(",")
        if any(len(key.strip()) < KEY_MIN_CHARS for key in keys):
            raise ValueError(f"must have at least {KEY_MIN_CHARS} characters; `openssl rand -hex 32` makes one")
        return value

    @property
    def signing_keys(self) -> list[str]:
        """`jwt_secret`, one by one, the newest first."""
        return _parts(self.jwt_secret.get_secret_value()) if self.jwt_secret else []


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

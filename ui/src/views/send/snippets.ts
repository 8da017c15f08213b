// What to copy to send logs here, with this server's address and one's key filled in.

export interface Snippet {
  id: string;
  name: string;
  text: string;
}

/** `origin` such as `http://127.0.0.1:8080`; without a key, none is sent. */
export function snippets(origin: string, key: string, tenant: string): Snippet[] {
  const url = new URL(origin);
  const headers = [...(key ? [`X-API-Key: ${key}`] : []), ...(tenant ? [`X-Scope-OrgID: ${tenant}`] : [])];
  const curlHeaders = headers.map((header) => ` -H '${header}'`).join("");
  const otlpHeaders = headers.length > 0 ? `\nexport OTEL_EXPORTER_OTLP_HEADERS='${headers.map((header) => header.replace(": ", "=")).join(",")}'` : "";
  const authorization = key ? `\n    authorization:\n      credentials: ${key}` : "";
  const tenantLine = tenant ? `\n    tenant_id: ${tenant}` : "";
  return [
    {
      id: "curl",
      name: "curl",
      text: `curl ${origin}/loki/api/v1/push${curlHeaders} -H 'Content-Type: application/json' \\
  -d '{"streams":[{"stream":{"app":"demo"},"values":[["'$(date +%s%N)'","hello from curl"]]}]}'`,
    },
    {
      id: "otlp",
      name: "OpenTelemetry",
      text: `export OTEL_EXPORTER_OTLP_ENDPOINT=${origin}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_LOGS_EXPORTER=otlp${otlpHeaders}`,
    },
    {
      id: "promtail",
      name: "Promtail, Alloy",
      text: `clients:
  - url: ${origin}/loki/api/v1/push${tenantLine}${authorization}

positions:
  filename: /var/lib/promtail/positions.yaml

scrape_configs:
  - job_name: system
    static_configs:
      - targets: [localhost]
        labels: { job: varlogs, __path__: /var/log/*.log }`,
    },
    {
      id: "syslog",
      name: "syslog",
      text: `# The server listens where its settings say so: syslog.tcp: 0.0.0.0:5514
# /etc/rsyslog.d/90-timberyard.conf
*.* action(type="omfwd" target="${url.hostname}" port="5514" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format")`,
    },
    {
      id: "cli",
      name: "A file, a program",
      text: `timberyard push /var/log/syslog --label job=syslog --url ${origin}${key ? ` --api-key ${key}` : ""}
make 2>&1 | timberyard push - --label job=build --url ${origin}${key ? ` --api-key ${key}` : ""}`,
    },
  ];
}

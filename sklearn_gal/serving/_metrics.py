"""What the service has answered, as text that Prometheus reads."""

from collections import Counter, defaultdict

# Upper bounds of the buckets, in seconds
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX = "sklearn_gal"


class Metrics:
    """Counts requests, seconds, rows and absent organizations."""

    def __init__(self):
        self._requests: Counter = Counter()
        self._rows: Counter = Counter()
        self._absent: Counter = Counter()
        self._seconds: defaultdict = defaultdict(float)
        self._buckets: defaultdict = defaultdict(lambda: [0] * (len(BUCKETS) + 1))

    def count(self, endpoint, status, seconds):
        """Count a request that was answered."""
        self._requests[endpoint, status] += 1
        self._seconds[endpoint] += seconds
        bucket = sum(seconds > bound for bound in BUCKETS)
        self._buckets[endpoint][bucket] += 1

    def count_rows(self, endpoint, n_rows):
        """Count the rows of a request that was answered."""
        self._rows[endpoint] += n_rows

    def count_absent(self, organizations):
        """Count organizations that did not answer to a request."""
        self._absent.update(organizations)

    def text(self):
        """Return the counts in Prometheus' text format."""
        lines: list[str] = []
        self._add(lines, "requests_total", "counter", "Requests answered.")
        for (endpoint, status), count in sorted(self._requests.items()):
            labels = f'endpoint="{endpoint}",status="{status}"'
            lines.append(f"{_PREFIX}_requests_total{{{labels}}} {count}")
        self._add(lines, "rows_total", "counter", "Rows answered.")
        for endpoint, count in sorted(self._rows.items()):
            lines.append(f'{_PREFIX}_rows_total{{endpoint="{endpoint}"}} {count}')
        about = "Requests answered without an organization."
        self._add(lines, "absent_total", "counter", about)
        for name, count in sorted(self._absent.items()):
            escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            lines.append(f'{_PREFIX}_absent_total{{organization="{escaped}"}} {count}')
        about = "Seconds from the first byte of a request to the last one of its answer."
        self._add(lines, "request_seconds", "histogram", about)
        for endpoint, counts in sorted(self._buckets.items()):
            self._add_histogram(lines, endpoint, counts)
        return "\n".join(lines) + "\n"

    def _add(self, lines, name, kind, about):
        lines.append(f"# HELP {_PREFIX}_{name} {about}")
        lines.append(f"# TYPE {_PREFIX}_{name} {kind}")

    def _add_histogram(self, lines, endpoint, counts):
        name, label, total = f"{_PREFIX}_request_seconds", f'endpoint="{endpoint}"', 0
        for bound, count in zip([*BUCKETS, "+Inf"], counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{label},le="{bound}"}} {total}')
        lines.append(f"{name}_sum{{{label}}} {self._seconds[endpoint]:.6f}")
        lines.append(f"{name}_count{{{label}}} {total}")

"""What every service counts; each is scraped at `/metrics`."""

from prometheus_client import Counter, Gauge, Histogram

JOBS = Counter("onair_jobs_total", "Deliveries of work entries by what became of them", ["stream", "outcome"])
JOB_SECONDS = Histogram("onair_job_seconds", "Time from delivery to the end of a job", ["stream"])
WAIT_SECONDS = Histogram(
    "onair_wait_seconds",
    "Time from the publishing of an entry to its delivery",
    ["stream"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
BUS_ERRORS = Counter("onair_bus_errors_total", "Errors of the brokers that were waited out", ["kind"])
PROBLEMS = Gauge("onair_problems", "Things that keep this service from being ready")
EVENTS = Counter("onair_events_total", "Events of the rooms by lane and what became of them", ["lane", "outcome"])
SPOOLED = Gauge("onair_spooled", "Paid events that wait on this machine until the work broker takes them")
REJECTED = Counter(
    "onair_rejected_total", "Frames and requests that could not be read, by reason", ["source", "reason"]
)
FIRST_SOUND_SECONDS = Histogram(
    "onair_first_sound_seconds",
    "Time from the event that is answered to the first sound of its answer",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60),
)

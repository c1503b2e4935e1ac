import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** A set of Prometheus metrics with one prefix. Asking for the same name again gives the same metric. */
export interface Metrics {
  /** A value that only grows. Its full name is `<prefix>_<name>`; end it in `_total`. */
  counter(name: string, help: string, labels?: readonly string[]): Counter<string>;
  /** A value that goes up and down. */
  gauge(name: string, help: string, labels?: readonly string[]): Gauge<string>;
  /** A distribution; `buckets` are the upper bounds in the unit that the name ends in. */
  histogram(
    name: string,
    help: string,
    labels?: readonly string[],
    buckets?: readonly number[],
  ): Histogram<string>;
  /** All metrics in Prometheus' text format. */
  render(): Promise<string>;
}

/** The content type of `Metrics.render()`. */
export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Makes an empty set of metrics. */
export function createMetrics(prefix: string): Metrics {
  return metricsOver(new Registry(), prefix);
}

/** A set of metrics that holds CPU, memory, event loop and garbage collection of this process. */
export function createProcessMetrics(prefix: string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return metricsOver(registry, prefix);
}

function metricsOver(registry: Registry, prefix: string): Metrics {
  const once = <M>(name: string, make: (fullName: string) => M): M => {
    const fullName = `${prefix}_${name}`;
    return (registry.getSingleMetric(fullName) as M | undefined) ?? make(fullName);
  };
  const registers = [registry];
  return {
    counter: (name, help, labels = []) =>
      once(
        name,
        (fullName) => new Counter<string>({ name: fullName, help, labelNames: [...labels], registers }),
      ),
    gauge: (name, help, labels = []) =>
      once(
        name,
        (fullName) => new Gauge<string>({ name: fullName, help, labelNames: [...labels], registers }),
      ),
    histogram: (name, help, labels = [], buckets) =>
      once(
        name,
        (fullName) =>
          new Histogram<string>({
            name: fullName,
            help,
            labelNames: [...labels],
            registers,
            ...(buckets === undefined ? {} : { buckets: [...buckets] }),
          }),
      ),
    render: () => registry.metrics(),
  };
}

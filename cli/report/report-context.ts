/** What a report says beside the diagnostics. */
export interface ReportOptions {
  /** The command that checked, as JUnit's suite is to be called: "rejot-kafka collect". */
  readonly title: string;
  /** Absolute folder that file names are told from: the repository's root. */
  readonly root: string;
  /** Version of rejot-kafka. */
  readonly version: string;
  /**
   * What was looked at, whether something was found or not: names of schemas, for JUnit's passed tests.
   * Without it a report without errors has one passed test.
   */
  readonly checked?: readonly string[];
}

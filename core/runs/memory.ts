/**
 * The most memory this process will have had when a sweep is over, in bytes: what it holds now that each kind of pass has run, and `more` that is still to come;
 * or what it held at its fullest, while the model was loaded.
 */
export function expectedPeak(more: number): number {
  return Math.max(process.resourceUsage().maxRSS * 1024, process.memoryUsage.rss() + more)
}

using System.Diagnostics;
using System.Globalization;

namespace OrleansRedis.Benchmarks;

/// <summary>Runs redis-benchmark and reads its figures.</summary>
internal static class RedisBenchmark
{
    /// <summary>Number of connections it opens.</summary>
    public const int Clients = 50;

    public const int ValueBytes = 32;

    /// <summary>
    /// Runs redis-benchmark with this many different keys and these additional arguments, and returns the lines that it
    /// prints.
    /// </summary>
    /// <exception cref="InvalidOperationException">redis-benchmark failed.</exception>
    public static Task<string[]> RunAsync(PeerProcess server, int keys, int pipeline, int requests, params string[] words) =>
        RunAsync(server, Timeout.InfiniteTimeSpan, keys, pipeline, requests, words);

    /// <exception cref="InvalidOperationException">redis-benchmark failed.</exception>
    /// <exception cref="TimeoutException">It was not done within the limit, and has been killed.</exception>
    public static async Task<string[]> RunAsync(
        PeerProcess server, TimeSpan limit, int keys, int pipeline, int requests, string[] words)
    {
        using Process benchmark = new();
        benchmark.StartInfo = new ProcessStartInfo("redis-benchmark")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true
        };
        string[] all =
        [
            "-p", Text(server.Port), "-c", Text(Clients), "-d", Text(ValueBytes), "-r", Text(keys), "-n", Text(requests), "-P", Text(pipeline), .. words,
        ];
        foreach (string word in all) benchmark.StartInfo.ArgumentList.Add(word);
        benchmark.Start();
        Task<string> errors = benchmark.StandardError.ReadToEndAsync();
        Task<string> output = benchmark.StandardOutput.ReadToEndAsync();
        try
        {
            await output.WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            benchmark.Kill();
            throw new TimeoutException($"{requests:N0} requests were not done after {limit.TotalSeconds:F0} s");
        }

        string report = await output;
        await benchmark.WaitForExitAsync();
        if (benchmark.ExitCode != 0)
            throw new InvalidOperationException(
                $"redis-benchmark {string.Join(' ', all)} exited with {benchmark.ExitCode}: {report}{await errors}{server.Describe()}");
        return report.Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>The figures in the last line that redis-benchmark prints with --csv.</summary>
    public static Figures ReadCsv(string[] report)
    {
        // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",
        // "p95_latency_ms","p99_latency_ms","max_latency_ms".
        // Read from the end, since a command may itself contain commas.
        double[] fields = [.. report[^1].Split("\",\"")[^7..].Select(field => double.Parse(field.Trim('"'), CultureInfo.InvariantCulture))];
        return new(fields[0], fields[3], fields[5]);
    }

    /// <summary>The median; NaN if there are no values.</summary>
    public static double Median(double[] values)
    {
        if (values.Length == 0)
            return double.NaN;
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    internal readonly record struct Figures(double RequestsPerSecond, double P50Ms, double P99Ms);
}

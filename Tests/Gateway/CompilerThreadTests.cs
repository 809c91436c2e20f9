using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class CompilerThreadTests
{
    [SkippableFact]
    public async Task The_thread_that_compiles_gives_way_to_those_that_serve_clients()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "Only Linux has a nice value for each thread.");
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        // It ends when there is nothing to compile, and comes back when there is.
        await using RespConnection redis = await server.ConnectAsync();
        await Eventually.TrueAsync(
            async () =>
            {
                await redis.PipelineAsync([.. Enumerable.Range(0, 100).Select(i => (RespArgument[])["SET", $"key:{i}", i])]);
                (string Name, int Niceness)[] threads = Threads(server.ProcessId);
                return threads.Any(thread => thread.Name.StartsWith(".NET Tiered", StringComparison.Ordinal)
                    && thread.Niceness > threads.Where(other => other.Name.StartsWith("io ", StringComparison.Ordinal)).Max(other => other.Niceness));
            },
            () => string.Join(", ", Threads(server.ProcessId)));
    }

    /// <summary>The name and the nice value of each thread, from proc(5)'s /proc/PID/task/TID/stat.</summary>
    private static (string Name, int Niceness)[] Threads(int process)
    {
        List<(string Name, int Niceness)> threads = [];
        foreach (string task in Directory.EnumerateDirectories($"/proc/{process}/task"))
        {
            try
            {
                string stat = File.ReadAllText(Path.Combine(task, "stat"));
                int begin = stat.IndexOf('(') + 1, end = stat.LastIndexOf(')');
                const int Niceness = 16; // counted from the state, which follows the name
                threads.Add((stat[begin..end], int.Parse(stat[(end + 2)..].Split(' ')[Niceness], CultureInfo.InvariantCulture)));
            }
            catch (IOException)
            {
                // a thread that has ended meanwhile
            }
        }
        return [.. threads];
    }
}

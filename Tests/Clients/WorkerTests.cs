using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Clients;

/// <summary>
/// Queues of jobs, with their own workers, as applications have them from Debian. What is expected stands in
/// <c>python/</c> and <c>ruby/</c>, beside the jobs.
/// </summary>
public sealed class WorkerTests(SharedServer server, ITestOutputHelper output) : SharedServerTest(server, output)
{
    private static readonly string here = Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Clients");

    [SkippableFact]
    public Task Sidekiq() => RunAsync(["EVALSHA"], "ruby", "-W0", Path.Combine(here, "ruby", "sidekiq.rb"));

    [SkippableFact]
    public Task Rq() => RunAsync(["EVALSHA", "SUBSCRIBE"], "/usr/bin/python3", "-B", Path.Combine(here, "python", "rq_jobs.py"));

    [SkippableFact]
    public Task Celery() => RunAsync(["EVALSHA", "SUBSCRIBE"], "/usr/bin/python3", "-B", Path.Combine(here, "python", "celery_jobs.py"));

    private async Task RunAsync(string[] commands, string program, params string[] arguments)
    {
        await Requires.CommandsAsync(Server, commands);
        await using ClientProgram workers = ClientProgram.Start(program, [.. arguments, Server.Port.ToString(CultureInfo.InvariantCulture)]);
        Assert.True(await workers.WaitForExitAsync() == 0, workers.Output);
    }
}

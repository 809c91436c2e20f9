using System.Text;
using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public class AllocationTests
{
    [Theory]
    [InlineData("GET key:000000000001")]
    [InlineData("SET key:000000000001 ABCDEFGHABCDEFGHABCDEFGHABCDEFGH")]
    [InlineData("SET number 12345")]
    [InlineData("INCR number")]
    [InlineData("GET nothing")]
    [InlineData("EXISTS key:000000000001")]
    [InlineData("TTL key:000000000001")]
    [InlineData("MGET key:000000000001 number")]
    [InlineData("SETRANGE key:000000000001 3 x")]
    public void Runs_without_allocating(string line)
    {
        using var store = new Store(new ServerOptions(), TimeProvider.System, EngineHarness.Commands);
        for (int number = 0; number < KeySlot.Count; number++) store.Slots.Publish(store.Slots.Create(number, 1));
        var session = new Session();
        var reply = new RespWriter();
        Run("SET key:000000000001 abcdefghabcdefghabcdefghabcdefgh", 1);
        Run("SET number 1", 1);
        Run(line, 1000);
        long inPreparing = Allocated(0), least = long.MaxValue;
        // The runtime allocates a little itself when it recompiles the code. A command that allocates does so every
        // time.
        for (int round = 0; round < 10 && least > inPreparing; round++) least = Math.Min(least, Allocated(10_000));
        Assert.Equal(inPreparing, least);

        long Allocated(int times)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Run(line, times);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        void Run(string text, int times)
        {
            OwnedRequest request = OwnedRequest.Of([.. text.Split(' ').Select(word => (ReadOnlyMemory<byte>)Encoding.ASCII.GetBytes(word))]);
            CommandInfo command = EngineHarness.Commands.Resolve(request.Request)!;
            for (int i = 0; i < times; i++)
            {
                reply.Clear();
                var call = new CommandContext(store, session, reply) { Command = command, Request = request.Request, NowMs = 1_700_000_000_000 };
                if (store.Execute(ref call).Outcome != Outcome.Done) throw new InvalidOperationException("It did not run.");
            }
        }
    }

    /// <summary>Then every request asks for admission, and what that leaves to the collector is memory that data should have.</summary>
    [Fact]
    public void Requests_are_admitted_without_allocating_while_memory_is_full()
    {
        using var redis = new EngineHarness(options => options.MaxMemory = 1);
        var reply = new RespWriter();
        OwnedRequest request = OwnedRequest.Of(["GET"u8.ToArray(), "key"u8.ToArray()]);
        CommandInfo command = EngineHarness.Commands.Resolve(request.Request)!;
        Admit(1000);
        long inPreparing = Allocated(0), least = long.MaxValue;
        for (int round = 0; round < 10 && least > inPreparing; round++) least = Math.Min(least, Allocated(10_000));
        Assert.Equal(inPreparing, least);

        long Allocated(int times)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Admit(times);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        void Admit(int times)
        {
            for (int i = 0; i < times; i++)
            {
                if (redis.Runner.Admission.Admit(command, request.Request, redis.Client.Session, reply, out _) != Verdict.Admitted)
                    throw new InvalidOperationException("It is refused.");
            }
        }
    }
}

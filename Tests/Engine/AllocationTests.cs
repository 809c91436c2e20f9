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
}

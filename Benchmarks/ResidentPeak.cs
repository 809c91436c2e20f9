namespace OrleansRedis.Benchmarks;

/// <summary>The most resident memory that a process has from here on.</summary>
internal sealed class ResidentPeak : IDisposable
{
    private readonly PeerProcess server;
    private readonly Thread thread;
    private volatile bool isOver;
    private long bytes;

    public ResidentPeak(PeerProcess server)
    {
        this.server = server;
        thread = new Thread(Watch) { IsBackground = true };
        thread.Start();
    }

    public double Bytes => Volatile.Read(ref bytes);

    public void Dispose()
    {
        isOver = true;
        thread.Join();
    }

    private void Watch()
    {
        while (!isOver)
        {
            Volatile.Write(ref bytes, Math.Max(bytes, server.ResidentBytes));
            Thread.Sleep(10);
        }
    }
}

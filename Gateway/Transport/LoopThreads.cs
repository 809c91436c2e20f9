using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>The threads of the event loops, for commands that may take long on them.</summary>
internal sealed class LoopThreads : ICommandThreads
{
    public bool IsOne => EventLoop.IsAny;

    public bool MayStandStill => EventLoop.MayStandStill;

    public void StandStill() => EventLoop.StandStill();
}

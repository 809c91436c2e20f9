using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>
/// Has every call of a grain of ours bring the password, if there is one, whichever way it has come: from a client, from
/// another silo, or from within.
/// </summary>
internal sealed class CallerFilter(CommandRunner runner) : IIncomingGrainCallFilter
{
    public Task Invoke(IIncomingGrainCallContext context)
    {
        if (context.InterfaceMethod.DeclaringType?.Assembly == typeof(IHashSlotGrain).Assembly
            && runner.Admission.RefusesCallOf(RequestContext.Get(Caller.User) as byte[], RequestContext.Get(Caller.Password) as byte[]) is { } error)
            throw new RedisErrorException(error);
        return context.Invoke();
    }
}

using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>
/// Has every call of a grain of ours be made by a user, whichever way it has come: from a client, from another silo, or
/// from within.
/// </summary>
internal sealed class CallerFilter(CommandRunner runner, ClientOrigins origins) : IIncomingGrainCallFilter
{
    private static readonly AsyncLocal<AclUser?> s_user = new();

    /// <summary>Who makes the call that is being served.</summary>
    public static AclUser? User => s_user.Value;

    public Task Invoke(IIncomingGrainCallContext context)
    {
        if (context.InterfaceMethod.DeclaringType?.Assembly != typeof(IHashSlotGrain).Assembly) return context.Invoke();
        s_user.Value = runner.Admission.CallerOf(
            RequestContext.Get(Caller.User) as byte[], RequestContext.Get(Caller.Password) as byte[], origins.Of(context.SourceId), out string error);
        return s_user.Value is null ? throw new RedisErrorException(error) : context.Invoke();
    }
}

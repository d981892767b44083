from pitboss.launch.reconciler import Reconciler


class Service:
    def __init__(self, ready):
        self.ready, self.rung = ready, []

    def ready_resources(self):
        return self.ready

    def ring(self, resource):
        self.rung.append(resource)


def test_it_rings_for_what_could_start_and_for_nothing_else():
    service = Service({"gpu"})
    assert Reconciler(service, service).reconcile() == {"gpu"}
    assert service.rung == ["gpu"]
    assert Reconciler(Service(set()), Service(set())).reconcile() == set()
